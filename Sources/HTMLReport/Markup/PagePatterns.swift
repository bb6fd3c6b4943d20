/// What fills areas of all plots, so that they are told apart without their colours.
enum PagePatterns {
  /// An SVG without a size that defines the patterns.
  static let markup = Markup(
    own: """
      <svg width="0" height="0" aria-hidden="true" class="defs"><defs>\
      <pattern id="f0" width="8" height="8" patternUnits="userSpaceOnUse"><rect width="8" height="8" class="c0"/></pattern>\
      <pattern id="f1" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(45)">\
      <rect width="7" height="7" class="c1"/><line y2="7" class="ink"/></pattern>\
      <pattern id="f2" width="7" height="7" patternUnits="userSpaceOnUse"><rect width="7" height="7" class="c2"/>\
      <circle cx="2" cy="2" r="1" class="dot"/></pattern>\
      <pattern id="f3" width="7" height="7" patternUnits="userSpaceOnUse" patternTransform="rotate(-45)">\
      <rect width="7" height="7" class="c3"/><line y2="7" class="ink"/></pattern>\
      <pattern id="f4" width="6" height="6" patternUnits="userSpaceOnUse"><rect width="6" height="6" class="c4"/>\
      <line x2="6" class="ink"/></pattern>\
      </defs></svg>
      """)
}
