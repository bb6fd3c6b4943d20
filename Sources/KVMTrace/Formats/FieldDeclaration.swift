internal import Glibc

/// The declaration of a field of an event: its type and name as C writes them.
///
/// Offset, size and sign of a field stand beside its declaration, so that the declaration tells no more than the name,
/// whether it is an array, of characters or not, and whether its place stands in the event. Kernels write whatever
/// their C compiler takes there: attributes with texts, lengths with `? :`, bit fields, pointers to functions,
/// structures without a name. Such a declaration is put in plain words before libtraceevent sees it.
enum FieldDeclaration {
  /// A word, a string, a mark, or what stands between two brackets.
  private indirect enum Item: Equatable {
    case word(Substring)
    case mark(UInt8)
    case group(UInt8, [Item])

    var word: Substring? {
      if case .word(let word) = self { word } else { nil }
    }

    func isGroup(_ open: Character) -> Bool {
      if case .group(let byte, _) = self { byte == open.asciiValue } else { false }
    }
  }

  private static let depthMax = 32
  private static let bytesMax = 4096

  /// Appends the declaration `text` of a field of `bytes` bytes in plain words; false where it has no name.
  static func append(_ text: UnsafeRawBufferPointer, bytes: Int, to fields: inout [UInt8]) -> Bool {
    if text.count <= bytesMax, isPlain(text) {
      fields.append(contentsOf: text)
      return true
    }
    guard let plain = plain(Substring(decoding: text, as: UTF8.self), bytes: bytes) else { return false }
    fields.append(contentsOf: plain.utf8)
    return true
  }

  /// The name of the field that `text` declares, if that is a number or a pointer: words and stars, no brackets, and its place does not
  /// stand in the event. Nil for every other one.
  static func scalarName(_ text: UnsafeRawBufferPointer) -> UnsafeRawBufferPointer? {
    guard text.count <= bytesMax, isPlain(text),
      text.allSatisfy({ FormatSource.isWord($0) || $0 == UInt8(ascii: " ") || $0 == UInt8(ascii: "*") })
    else { return nil }
    let words = UnsafeRawBufferPointer(rebasing: text.drop { $0 == UInt8(ascii: " ") })
    for place: StaticString in ["__data_loc", "__rel_loc"] {
      let length = place.utf8CodeUnitCount
      if words.count >= length, memcmp(words.baseAddress!, place.utf8Start, length) == 0 { return nil }
    }
    var begin = text.count
    while begin > 0, FormatSource.isWord(text[begin - 1]) { begin -= 1 }
    return begin < text.count ? UnsafeRawBufferPointer(rebasing: text[begin...]) : nil
  }

  /// Whether the declaration of a number or pointer says that it is the number of a thread or process: the kernel's `pid_t`, and what
  /// user space is given as one. Not `tid_t`, which numbers transactions of a file system.
  static func isThread(_ text: UnsafeRawBufferPointer) -> Bool {
    if text.contains(UInt8(ascii: "*")) { return false }
    var begin = 0
    while begin < text.count {
      let end = text[begin...].firstIndex { !FormatSource.isWord($0) } ?? text.count
      let word = UnsafeRawBufferPointer(rebasing: text[begin..<end])
      if threadTypes.contains(where: {
        $0.utf8CodeUnitCount == word.count && memcmp($0.utf8Start, word.baseAddress!, word.count) == 0
      }) {
        return true
      }
      begin = end + 1
    }
    return false
  }

  static func isThread(type: String) -> Bool {
    var type = type
    return type.withUTF8 { isThread(UnsafeRawBufferPointer($0)) }
  }

  private static let threadTypes: [StaticString] = ["pid_t", "__kernel_pid_t", "compat_pid_t"]

  /// The declaration of a field of `bytes` bytes in plain words, nil where it has no name.
  static func plain(_ text: Substring, bytes: Int) -> String? {
    guard text.utf8.count <= bytesMax, text.utf8.allSatisfy({ $0 == 0x09 || (0x20..<0x7f).contains($0) })
    else {
      return nil
    }
    if isPlain(text.utf8) { return String(text) }
    var rest = Array(text.utf8)[...]
    guard var items = parse(&rest, of: text, until: nil, depth: 0) else { return nil }
    items = withoutAttributes(items)
    // A bit field: `unsigned int flag : 1`.
    if items.count > 3, items[items.count - 2] == .mark(UInt8(ascii: ":")) { items.removeLast(2) }
    if let name = functionPointer(items) { return "void * \(name)" }
    var isArray = false
    while items.last?.isGroup("[") == true {
      items.removeLast()
      isArray = true
    }
    guard let name = items.popLast()?.word, !items.isEmpty, !name.first!.isNumber else { return nil }
    let words = items.compactMap(\.word)
    let place = words.first.flatMap { $0 == "__data_loc" || $0 == "__rel_loc" ? $0 : nil }
    let type = elementType(items.filter { $0.word == nil || $0.word != place })
    if let place { return "\(place) \(type.text)[] \(name)" }
    isArray = isArray || items.contains { $0.isGroup("[") }
    guard isArray else { return "\(type.text) \(name)" }
    guard let size = type.bytes, size > 0, bytes % size == 0 else { return "struct opaque \(name)[1]" }
    return bytes == 0 ? "\(type.text) \(name)[]" : "\(type.text) \(name)[\(bytes / size)]"
  }

  /// What a field's elements are, in words without brackets, and their size where the words tell it.
  private static func elementType(_ items: [Item]) -> (text: String, bytes: Int?) {
    let isPointer = items.contains(.mark(UInt8(ascii: "*")))
    let words = items.compactMap(\.word).filter {
      !["const", "volatile", "__typeof__", "typeof"].contains($0)
    }
    if isPointer { return ("void *", nil) }
    guard !words.isEmpty, words.first != "struct", words.first != "union" else {
      return ("struct opaque", nil)
    }
    let bytes: Int? =
      switch words.joined(separator: " ") {
      case "char", "unsigned char", "signed char", "u8", "__u8", "s8", "__s8", "bool", "uint8_t": 1
      case "short", "unsigned short", "u16", "__u16", "s16", "__s16", "uint16_t", "__le16", "__be16": 2
      case "int", "unsigned int", "unsigned", "u32", "__u32", "s32", "__s32", "uint32_t", "__le32", "__be32":
        4
      case "long long", "unsigned long long", "u64", "__u64", "s64", "__s64", "uint64_t": 8
      default: nil
      }
    return (words.joined(separator: " "), bytes)
  }

  /// The name of `type (*name)(arguments)`, nil for everything else.
  private static func functionPointer(_ items: [Item]) -> Substring? {
    guard items.count >= 3, items.last!.isGroup("("), case .group(_, let inner) = items[items.count - 2],
      inner.first == .mark(UInt8(ascii: "*"))
    else { return nil }
    return inner.last { $0.word != nil }?.word
  }

  private static func withoutAttributes(_ items: [Item]) -> [Item] {
    var kept: [Item] = []
    for item in items {
      if item.isGroup("("), let word = kept.last?.word,
        ["__attribute__", "__attribute", "__aligned"].contains(word)
      {
        kept.removeLast()
      } else {
        kept.append(item)
      }
    }
    return kept
  }

  private static func parse(
    _ rest: inout ArraySlice<UInt8>, of text: Substring, until close: UInt8?, depth: Int
  ) -> [Item]? {
    guard depth < depthMax else { return nil }
    var items: [Item] = []
    while let byte = rest.popFirst() {
      switch byte {
      case UInt8(ascii: " "), 0x09: break
      case UInt8(ascii: "("), UInt8(ascii: "["), UInt8(ascii: "{"):
        // ")" follows "(", the others close two behind their openings.
        let closing = byte == UInt8(ascii: "(") ? byte + 1 : byte + 2
        guard let inner = parse(&rest, of: text, until: closing, depth: depth + 1) else { return nil }
        items.append(.group(byte, inner))
      case UInt8(ascii: ")"), UInt8(ascii: "]"), UInt8(ascii: "}"): return byte == close ? items : nil
      case UInt8(ascii: "\""):
        while let next = rest.popFirst(), next != UInt8(ascii: "\"") {
          if next == UInt8(ascii: "\\") { _ = rest.popFirst() }
        }
      case let byte where FormatSource.isWord(byte):
        var word = [byte]
        while let next = rest.first, FormatSource.isWord(next) {
          word.append(next)
          rest.removeFirst()
        }
        items.append(.word(Substring(decoding: word, as: UTF8.self)))
      default: items.append(.mark(byte))
      }
    }
    return close == nil ? items : nil
  }

  /// A type and a name: words, stars, and brackets that close, behind the name or the type.
  private static func isPlain(_ text: some Sequence<UInt8>) -> Bool {
    var depth = 0
    var words = 0
    var inWord = false
    var isName = false
    for byte in text {
      if FormatSource.isWord(byte) {
        if !inWord, depth == 0 {
          words += 1
          isName = byte > UInt8(ascii: "9")
        }
        inWord = true
        continue
      }
      inWord = false
      switch byte {
      case UInt8(ascii: "["): depth += 1
      case UInt8(ascii: "]"):
        depth -= 1
        if depth < 0 { return false }
      case UInt8(ascii: " "), UInt8(ascii: "*"): break
      // A length such as 30 + 1.
      case UInt8(ascii: "+"), UInt8(ascii: "-"), UInt8(ascii: "/"): if depth == 0 { return false }
      default: return false
      }
    }
    return depth == 0 && words >= 2 && isName
  }
}
