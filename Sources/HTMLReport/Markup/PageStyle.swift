/// The style of every page, light and dark. What colours tell, lines, patterns or words tell, too; the colours themselves are those
/// of Okabe and Ito, which people tell apart whatever cones they have.
enum PageStyle {
  /// The style.
  static let markup = Markup(own: source)

  private static let source: StaticString = #"""
    :root {
      --back: #fdfdfc; --panel: #f3f4f2; --ink: #1c1e21; --soft: #5a5f66; --rule: #d6d9dc; --link: #0b5aa2; --grid: #e3e5e7;
      --c0: #0072b2; --c1: #e69f00; --c2: #009e73; --c3: #cc79a7; --c4: #56b4e9; --mark: #b34a00; --gap0: #8a8f95; --hatch: #ffffffb0;
    }
    @media (prefers-color-scheme: dark) {
      :root {
        --back: #15171a; --panel: #1f2226; --ink: #e6e7e9; --soft: #a3a9b1; --rule: #3a3f46; --link: #7cb8f2; --grid: #2b2f35;
        --c0: #4aa3dd; --c1: #e8ac2e; --c2: #2dbb92; --c3: #d991b9; --c4: #7cc6f0; --mark: #ff9a52; --gap0: #7b8088; --hatch: #000000a0;
      }
    }
    * { box-sizing: border-box; }
    html { scroll-padding-top: 8px; -webkit-text-size-adjust: 100%; }
    body {
      margin: 0 auto; padding: 0 16px 32px; max-width: 1560px; background: var(--back); color: var(--ink);
      font: 15px/1.5 system-ui, -apple-system, "Segoe UI", Roboto, "Liberation Sans", sans-serif; overflow-wrap: anywhere;
    }
    a { color: var(--link); }
    h1 { font-size: 1.5em; line-height: 1.25; margin: 20px 0 4px; }
    h2 { font-size: 1.3em; margin: 36px 0 8px; padding-bottom: 4px; border-bottom: 2px solid var(--rule); }
    h3 { font-size: 1.15em; margin: 30px 0 8px; padding-bottom: 3px; border-bottom: 1px solid var(--rule); }
    h4 { font-size: 1em; margin: 24px 0 6px; }
    h5 { font-size: .95em; margin: 18px 0 4px; }
    p { max-width: 80ch; margin: 6px 0; }
    header p, footer, .note { color: var(--soft); }
    .note { font-size: .87em; }
    footer { margin-top: 40px; border-top: 1px solid var(--rule); font-size: .87em; }
    .skip { position: absolute; left: -9999px; }
    .skip:focus { left: 8px; top: 8px; background: var(--back); padding: 4px 8px; }
    nav { background: var(--panel); border-radius: 6px; padding: 8px 14px; margin: 12px 0; font-size: .93em; }
    nav ul { margin: 0; padding: 0; list-style: none; display: flex; flex-wrap: wrap; gap: 2px 18px; }
    nav li ul { padding-left: 12px; border-left: 2px solid var(--rule); margin: 2px 0; }
    .scripted { display: none; }
    html.live .scripted { display: block; }

    .tables { display: flex; flex-wrap: wrap; align-items: flex-start; gap: 0 48px; }
    .wide { overflow-x: auto; margin: 10px 0; max-width: 100%; }
    .wide:focus-visible { outline: 2px solid var(--link); outline-offset: 2px; }
    table { border-collapse: collapse; font-size: .9em; }
    caption { text-align: left; font-weight: 600; padding: 2px 0 4px; white-space: nowrap; position: sticky; left: 0; width: max-content;
      max-width: calc(100vw - 32px); }
    th, td { padding: 3px 12px 3px 0; vertical-align: top; border-top: 1px solid var(--rule); text-align: left; font-weight: normal;
      overflow-wrap: normal; }
    thead th { color: var(--soft); border-top: 0; white-space: nowrap; }
    th.n, td.n { text-align: right; font-variant-numeric: tabular-nums; white-space: nowrap; }
    tbody th.t { white-space: nowrap; }
    .basis { display: inline-block; font-size: .82em; line-height: 1.35; padding: 0 6px; border-radius: 8px; border: 1px solid var(--soft);
      white-space: nowrap; color: var(--ink); }
    .basis.recorded { border-style: solid; font-weight: 600; }
    .basis.derived { border-style: solid; }
    .basis.assumed { border-style: dashed; font-style: italic; }
    .basis.modelled { border-style: dotted; }
    .basis.unknown { border-color: transparent; background: var(--panel); color: var(--soft); }

    figure.plot { margin: 14px 0 20px; }
    figcaption { position: relative; margin-bottom: 8px; }
    figcaption button { position: absolute; right: 0; top: 0; font: inherit; font-size: .85em; padding: 1px 8px; }
    .legend { list-style: none; display: flex; flex-wrap: wrap; gap: 2px 16px; margin: 2px 0 0; padding: 0; font-size: .87em; }
    .legend li { white-space: nowrap; }
    .legend svg, .layers svg { vertical-align: -1px; }
    svg.frame { display: block; overflow: visible; width: calc(100% - 104px); margin-left: 82px; touch-action: pan-y; user-select: none; }
    svg.frame:focus-visible { outline: 2px solid var(--link); outline-offset: 4px; }
    svg.frame text { font-size: 11px; fill: var(--soft); font-variant-numeric: tabular-nums; }
    svg.data { background: var(--panel); overflow: hidden; }
    svg.defs { position: absolute; }
    .y line, .x line { stroke: var(--grid); }
    .y text, .addresses text { text-anchor: end; dominant-baseline: central; }
    .x text { text-anchor: middle; }
    figure.chart { margin: 14px 0 20px; max-width: 960px; }
    svg.bars { display: block; overflow: visible; }
    svg.bars text { font-size: 11.5px; fill: var(--ink); font-variant-numeric: tabular-nums; paint-order: stroke; stroke: var(--back);
      stroke-width: 3px; }
    svg.bars .x text { fill: var(--soft); font-size: 11px; stroke: none; }
    svg.bars .x .first { text-anchor: start; }
    svg.bars .x .last, svg.bars .value { text-anchor: end; }
    .base { stroke: var(--soft); }
    svg.frame .x g:first-of-type text { text-anchor: start; }
    .addresses line { stroke: var(--rule); stroke-dasharray: 2 3; }
    .addresses text { font-family: ui-monospace, "Liberation Mono", monospace; font-size: 10px; }
    .line { fill: none; stroke-width: 1.8; vector-effect: non-scaling-stroke; }
    .l0 { stroke: var(--mark); }
    .l1 { stroke: var(--c0); stroke-dasharray: 6 3; }
    .l2 { stroke: var(--c2); stroke-dasharray: 2 2; }
    .a0 { fill: url(#f0); } .a1 { fill: url(#f1); } .a2 { fill: url(#f2); } .a3 { fill: url(#f3); } .a4 { fill: url(#f4); }
    .c0 { fill: var(--c0); } .c1 { fill: var(--c1); } .c2 { fill: var(--c2); } .c3 { fill: var(--c3); } .c4 { fill: var(--c4); }
    .ink { stroke: var(--hatch); stroke-width: 2; }
    .dot { fill: var(--hatch); }
    .gap { fill: var(--gap0); fill-opacity: .4; stroke: var(--gap0); stroke-width: 1; stroke-dasharray: 3 2; vector-effect: non-scaling-stroke; }
    .mark line { stroke: var(--soft); stroke-dasharray: 4 3; }
    .mark circle { fill: var(--back); stroke: var(--mark); stroke-width: 1.5; }
    svg.frame .mark circle + text { text-anchor: middle; dominant-baseline: central; font-size: 10px; font-weight: 600; fill: var(--ink); }
    svg.frame .event text { writing-mode: vertical-rl; font-size: 10px; transform: translate(6px, 4px); }
    svg.frame .event.late text { transform: translate(-6px, 4px); }
    .cross { stroke: var(--ink); visibility: hidden; pointer-events: none; }
    .cross.on { visibility: visible; }
    .choice { fill: var(--link); fill-opacity: .25; pointer-events: none; }
    image { image-rendering: pixelated; }
    .slot rect { fill: var(--c0); fill-opacity: .55; stroke: var(--c0); }
    .slot.maybe rect { fill-opacity: .15; stroke-dasharray: 3 2; }
    svg.frame .slot text { text-anchor: middle; dominant-baseline: central; font-size: 10px; fill: var(--ink); font-weight: 600; }
    .links rect { fill: var(--mark); }
    .links a:hover rect, .links a:focus rect { stroke: var(--ink); stroke-width: 2; }
    .layers { border: 0; margin: 0; padding: 0; display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: .87em; }
    .layers legend { float: left; padding: 0; font-weight: 600; }
    .layers input { margin: 0 5px 0 0; vertical-align: -2px; }
    .heat:has(.show-mapped:not(:checked)) .layer.mapped, .heat:has(.show-faults:not(:checked)) .layer.faults,
    .heat:has(.show-maps:not(:checked)) .layer.maps, .heat:has(.show-ages:not(:checked)) .layer.ages,
    .heat:has(.show-unmaps:not(:checked)) .layer.unmaps, .heat:has(.show-assumed:not(:checked)) .layer.assumed { display: none; }
    .k-mapped { fill: #56b4e9; fill-opacity: .35; } .k-faults { fill: #d55e00; } .k-maps { fill: #009e73; } .k-ages { fill: #e69f00; }
    .k-unmaps { fill: #cc79a7; } .k-assumed { fill: #808080; }
    .k1 { fill: #56b4e9; fill-opacity: .27; } .k2 { fill: #56b4e9; fill-opacity: .47; } .k3 { fill: #e69f00; fill-opacity: .43; }
    .k4 { fill: #e69f00; } .k5 { fill: #d55e00; } .k6 { fill: #0072b2; } .k7 { fill: #009e73; fill-opacity: .75; } .k8 { fill: #009e73; }
    .k9 { fill: #808080; } .k10 { fill: #cc79a7; }
    details { border: 1px solid var(--rule); border-radius: 6px; margin: 6px 0; padding: 2px 10px; }
    summary { cursor: pointer; padding: 3px 0; }
    details[open] > summary { margin-bottom: 6px; }
    #tip { position: fixed; z-index: 2; max-width: min(340px, 90vw); padding: 5px 9px; border: 1px solid var(--soft); border-radius: 5px;
      background: var(--back); font-size: 12.5px; line-height: 1.4; pointer-events: none; box-shadow: 0 2px 8px #0004; }
    #tip[hidden] { display: none; }
    @media (max-width: 640px) {
      caption, thead th, tbody th.t { white-space: normal; }
      th, td { padding-right: 8px; }
      body { padding: 0 12px 24px; }
      .x .odd text, svg.frame .event.near text { display: none; }
      svg.frame { width: calc(100% - 96px); margin-left: 76px; }
      svg.bars text, svg.bars .x text { font-size: 10px; }
    }
    @media print { nav, .scripted, #tip { display: none; } details { break-inside: avoid; } }
    """#
}
