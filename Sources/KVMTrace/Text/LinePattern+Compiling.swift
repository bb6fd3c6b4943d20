extension LinePattern {
  /// A pattern as `LinePatterns` writes it, of an event with the fields `places`; what they are called is part of this program, so that
  /// none is missing.
  init(_ text: String, places: [String: FieldPlace], arena: TextArena) {
    var made: [Piece] = []
    var words: [UInt8] = []
    func endWords() {
      guard !words.isEmpty else { return }
      var piece = Piece(kind: .words)
      piece.count = words.count
      piece.words = arena.copy(TextCursor.padded(words))
      made.append(piece)
      words = []
    }
    var rest = text[...]
    while let first = rest.first {
      guard first == "{", let end = rest.firstIndex(of: "}") else {
        words += Array(String(first).utf8)
        rest = rest.dropFirst()
        continue
      }
      endWords()
      made.append(Self.piece(rest[rest.index(after: rest.startIndex)..<end], places, arena))
      rest = rest[rest.index(after: end)...]
    }
    endWords()
    pieces = arena.copy(made)
    count = made.count
  }

  /// The piece that stands in braces as `text`.
  private static func piece(
    _ text: Substring, _ places: [String: FieldPlace], _ arena: TextArena
  ) -> Piece {
    func field(_ name: Substring, _ kind: Piece.Kind) -> Piece {
      Piece(kind: kind, place: places[String(name)]!)
    }
    if text.isEmpty { return Piece(kind: .anything) }
    if let mark = text.firstIndex(where: { $0 == "=" || $0 == "|" }) {
      var piece = field(text[..<mark], text[mark] == "=" ? .name : .flags)
      let names = names(text[text.index(after: mark)...], arena)
      piece.names = arena.copy(names)
      piece.count = names.count
      return piece
    }
    switch text.last {
    case "#": return field(text.dropLast(), .decimal)
    case "-": return field(text.dropLast(), .negative)
    case "\"": return field(text.dropLast(), .text)
    default: return field(text, .hexadecimal)
    }
  }

  /// `NAME NUMBER,NAME NUMBER`.
  private static func names(_ text: Substring, _ arena: TextArena) -> [Name] {
    let list = text == "MODES" ? LinePatterns.modes[...] : text
    return list.split(separator: ",").map { entry in
      let space = entry.lastIndex(of: " ")!
      let digits = entry[entry.index(after: space)...]
      let value =
        digits.hasPrefix("0x") ? UInt64(digits.dropFirst(2), radix: 16)! : UInt64(bitPattern: Int64(digits)!)
      let bytes = Array(entry[..<space].utf8)
      return Name(text: arena.copy(TextCursor.padded(bytes)), count: bytes.count, value: value)
    }
  }
}
