"""How a report looks: on a desk, on a phone, on paper."""

STYLE = """\
:root { color-scheme: light; --ink: #1a1c1f; --soft: #565b63; --line: #d9dce1; --tint: #eef5fc; }
* { box-sizing: border-box; }
html { -webkit-text-size-adjust: 100%; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 56rem; background: #fff;
  color: var(--ink); font: 1rem/1.5 system-ui, "Segoe UI", Roboto, "Helvetica Neue", Arial,
  sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0 0 1rem; font-size: 1.6rem; line-height: 1.2; font-weight: 650; }
h2 { margin: 0 0 .75rem; padding-top: 1.5rem; border-top: 1px solid var(--line);
  font-size: 1.2rem; line-height: 1.3; font-weight: 650; }
section { margin-top: 2rem; }
p { margin: 0 0 .75rem; max-width: 42rem; }
p.headline { font-size: 1.15rem; }
p.headline strong { display: block; font-size: 2.6rem; line-height: 1.15; font-weight: 650;
  letter-spacing: -.02em; }
p.note, figcaption small, caption { color: var(--soft); }
p.note { font-size: .9rem; }
p.warning { padding: .6rem .8rem; border-left: 4px solid #bd1f01; background: #fdf1ee; }
dl { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: .9rem 1.5rem; margin: 0; }
dt { color: var(--soft); font-size: .85rem; }
dd { margin: 0; }
.wide { overflow-x: auto; margin: 0 0 1rem; }
.wide:focus-visible { outline: 2px solid #1f6fb2; outline-offset: 2px; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; }
caption { text-align: left; padding-bottom: .4rem; font-size: .9rem; }
th, td { padding: .35rem .9rem .35rem 0; border-bottom: 1px solid var(--line); text-align: right;
  vertical-align: baseline; white-space: nowrap; font-weight: 400; }
thead th { color: var(--soft); font-size: .85rem; border-bottom-color: #9aa0a8; }
.words { text-align: left; white-space: normal; overflow-wrap: anywhere; min-width: 6rem;
  max-width: 20rem; }
tr.best > * { background: var(--tint); font-weight: 650; }
tr > :first-child { padding-left: .5rem; }
img { display: block; }
img.curve { width: 100%; max-width: 38rem; min-width: 27rem; height: auto; }
img.matrix { max-width: none; height: auto; }
.photos { display: grid; grid-template-columns: repeat(auto-fill, minmax(9.5rem, 1fr));
  gap: 1.25rem 1rem; margin: 0; padding: 0; list-style: none; }
figure { margin: 0; break-inside: avoid; }
figure img, .missing { width: 100%; aspect-ratio: 4 / 3; object-fit: contain; background: #eceef1; }
.missing { display: grid; place-items: center; color: var(--soft); font-size: .85rem; }
figcaption { margin-top: .4rem; font-size: .9rem; line-height: 1.35; }
figcaption span { display: block; }
figcaption b { font-weight: 650; }
pre { margin: 0 0 1rem; padding: .75rem .9rem; background: #f4f5f7; border-radius: .3rem;
  font: .9rem/1.5 ui-monospace, SFMono-Regular, Menlo, Consolas, monospace; white-space: pre-wrap; }
footer { margin-top: 2.5rem; color: var(--soft); font-size: .85rem; }
@media print {
  @page { margin: 16mm; }
  body { max-width: none; padding: 0; font-size: 10pt; }
  .wide { overflow: visible; }
  img.curve, img.matrix { min-width: 0; width: auto; max-width: 100%; max-height: 240mm; }
  h2 { break-after: avoid; }
  tr { break-inside: avoid; }
  .photos { grid-template-columns: repeat(5, 1fr); }
  * { -webkit-print-color-adjust: exact; print-color-adjust: exact; }
}
"""
