/// What a page is made for: how wide it is, and what may stand in it besides words.
///
/// A page for a file or a pipe is the same everywhere. One for a terminal leaves out what does not fit, draws bars, and says at its
/// end how to go on.
public struct PageForm: Sendable {
  /// Whether a page is coloured.
  public enum Colour: String, CaseIterable, Sendable {
    /// On a terminal, unless `NO_COLOR` is set or `TERM` is dumb.
    case auto
    /// Whatever it is written to.
    case always
    /// Nowhere.
    case never
  }

  /// The columns of prose, which is harder to read in longer lines, and of a page that goes to no terminal.
  public static let proseWidth = 100
  /// A narrower terminal gets a page of so many columns.
  public static let narrowest = 60
  /// The columns of a terminal that does not say how wide it is.
  static let usualWidth = 80

  /// A page for a file or a pipe.
  public static let filed = PageForm(terminal: nil, colour: .never, environment: [:])

  /// How many columns it has.
  public let width: Int
  /// Whether somebody looks at it on a terminal.
  public let isTerminal: Bool
  /// Whether it has colours, which say nothing that the words do not.
  public let hasColour: Bool
  /// Whether it may have block characters of Unicode; else all that is drawn is ASCII.
  public let hasBlocks: Bool

  /// The form of what goes to an output.
  ///
  /// - Parameters:
  ///   - columns: how wide the output says that it is, 0 where it does not say; nil for no terminal.
  ///   - colour: what the user says of colours.
  ///   - environment: the environment, of which `COLUMNS`, `NO_COLOR`, `TERM` and the locale count.
  public init(terminal columns: Int?, colour: Colour, environment: [String: String]) {
    isTerminal = columns != nil
    if let columns {
      let stated = environment["COLUMNS"].flatMap { Int($0) }.flatMap { $0 > 0 ? $0 : nil }
      width = max(stated ?? (columns > 0 ? columns : Self.usualWidth), Self.narrowest)
    } else {
      width = Self.proseWidth
    }
    let refuses = environment["NO_COLOR"].map { !$0.isEmpty } ?? false
    hasColour =
      switch colour {
      case .auto: isTerminal && !refuses && environment["TERM"] != "dumb"
      case .always: true
      case .never: false
      }
    let locale =
      ["LC_ALL", "LC_CTYPE", "LANG"].lazy.compactMap { environment[$0] }.first { !$0.isEmpty } ?? ""
    let letters = locale.lowercased().filter { $0 != "-" }
    hasBlocks = letters.contains("utf8")
  }
}
