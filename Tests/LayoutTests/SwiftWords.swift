/// The identifiers and keywords of a Swift text, those of its comments left out.
enum SwiftWords {
  /// Calls `body` with each of them, and with the characters around it.
  static func forEach(
    in text: String, _ body: (_ word: String, _ before: Character, _ behind: Character) -> Void
  ) {
    for line in text.utf8.split(separator: UInt8(ascii: "\n")) {
      let line = Array(line)
      var begin = 0
      while begin < line.count {
        if line[begin] == UInt8(ascii: "/"), begin + 1 < line.count, line[begin + 1] == UInt8(ascii: "/") {
          break
        }
        var end = begin
        while end < line.count, isIdentifier(line[end]) { end += 1 }
        if end > begin {
          func sign(_ index: Int) -> Character {
            line.indices.contains(index) ? Character(UnicodeScalar(line[index])) : " "
          }
          body(String(decoding: line[begin..<end], as: UTF8.self), sign(begin - 1), sign(end))
        }
        begin = max(end, begin + 1)
      }
    }
  }

  private static func isIdentifier(_ byte: UInt8) -> Bool {
    switch byte {
    case UInt8(ascii: "a")...UInt8(ascii: "z"), UInt8(ascii: "A")...UInt8(ascii: "Z"),
      UInt8(ascii: "0")...UInt8(ascii: "9"), UInt8(ascii: "_"):
      true
    default: false
    }
  }
}
