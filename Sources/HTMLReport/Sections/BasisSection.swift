internal import KVMTypes

/// How to read a page: what a basis is, and what its plots have in common.
enum BasisSection {
  /// What each basis says.
  ///
  /// - Parameter model: what `modelled` figures are computed from.
  static func bases(computedFrom model: String) -> Markup {
    .element("p") {
      "Every figure says how it is known: "
      BasisMark.markup(.recorded)
      " is read from an event, "
      BasisMark.markup(.derived)
      " is forced by recorded facts, "
      BasisMark.markup(.assumed)
      " is a choice among several that the trace allows, "
      BasisMark.markup(.modelled)
      " is computed from \(model), and "
      BasisMark.markup(nil)
      " is what the trace does not tell, which is not 0."
    }
  }

  /// What the plots do where somebody points at them.
  ///
  /// - Parameter together: which plots show the same time.
  static func pointing(_ together: String) -> Markup {
    .element("p", ["class": "scripted"]) {
      "Point at a plot, or tap it, to see the values there. Drag across one to zoom \(together); Escape, or the "
      "button, shows all again. With the keyboard: + and - zoom a plot that has the focus, the arrows move it, 0 shows all."
    }
  }

  /// How to read the page of a replay.
  static var replay: Markup {
    bases(computedFrom: "a stated cost model")
      + .paragraph(
        "In all plots time goes from left to right, over what was replayed. Grey bands with dashed edges are stretches in which events of "
          + "some CPU are missing: what is drawn there may lack something.")
      + pointing("all plots of a recording")
  }
}
