/// What keeps the tree easy to read: short files, plain characters, nothing left for later.
enum TidyRules {
  /// The most lines that a source or a script may have: it should be readable in one sitting.
  static let mostLines = 600
  /// The most bytes of a file that is no text, outside `traces`.
  static let mostBinaryBytes = 4 << 20
  /// What the top of the package consists of, dot-files left out.
  static let topLevel: Set<String> = [
    "Package.swift", "Sources", "Tests", "traces", "tools", "README.md", "LICENSE",
  ]

  private static let textEndings = [".swift", ".md", ".c", ".h", ".modulemap", ".json", ".csv", ".txt"]
  /// Spelled apart, so that this file passes its own test.
  private static let unfinished = ["TO" + "DO", "FIX" + "ME", "XX" + "X:"]

  /// Whether a file is meant to be read. The licence is a quotation and keeps its own form.
  static func isText(_ path: String) -> Bool {
    path.hasPrefix("tools/") || textEndings.contains { path.hasSuffix($0) }
  }

  /// What is wrong with a text, one line each.
  static func problems(path: String, text: String) -> [String] {
    var problems: [String] = []
    // C is indented with tabs, as the kernel is, also where changes of it are listed; a diff has a blank before each line that stays.
    let isDiff = path.hasSuffix(".patch")
    let allowsTabs =
      isDiff || path.hasSuffix(".c") || path.hasSuffix(".h") || path.hasPrefix("tools/patch-mutants.d/")
    let lines = text.split(separator: "\n", omittingEmptySubsequences: false)
    let isCode = path.hasSuffix(".swift") || path.hasPrefix("tools/")
    if isCode && lines.count - 1 > mostLines { problems.append("\(path): more than \(mostLines) lines") }
    if !text.isEmpty && !text.hasSuffix("\n") { problems.append("\(path): no newline at the end") }
    for (index, line) in lines.enumerated() {
      let place = "\(path):\(index + 1)"
      let isBlankContext = isDiff && line == " "
      if line.last == " " || line.last == "\t", !isBlankContext {
        problems.append("\(place): blanks at the end")
      }
      if line.unicodeScalars.contains(where: { isControl($0) && !($0 == "\t" && allowsTabs) }) {
        problems.append("\(place): a tab or another control character")
      }
      for word in unfinished where line.contains(word) { problems.append("\(place): \(word)") }
    }
    return problems
  }

  private static func isControl(_ scalar: Unicode.Scalar) -> Bool {
    scalar.value < 0x20 || (0x7f...0x9f).contains(scalar.value) || scalar.value == 0xfeff
  }
}
