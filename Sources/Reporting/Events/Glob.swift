/// A pattern as the kernel's event filters have it: `*` for any text, `?` for one character, `[a-c]` for one of several,
/// `[!a-c]` for one of all others.
struct Glob: Sendable {
  private enum Part: Sendable {
    case any
    case one
    case exactly(Unicode.Scalar)
    case among([ClosedRange<UInt32>], isNegated: Bool)
  }

  private let parts: [Part]

  init(_ pattern: some StringProtocol) {
    var parts: [Part] = []
    var rest = Array(pattern.unicodeScalars)[...]
    while let scalar = rest.popFirst() {
      switch scalar {
      case "*": parts.append(.any)
      case "?": parts.append(.one)
      case "[":
        if let set = Self.set(&rest) { parts.append(set) } else { parts.append(.exactly("[")) }
      default: parts.append(.exactly(scalar))
      }
    }
    self.parts = parts
  }

  /// Whether all of `text` is what the pattern says.
  func matches(_ text: String) -> Bool {
    let text = Array(text.unicodeScalars)
    var place = 0
    var part = 0
    // Where to go on when what follows the last star does not fit: one character later.
    var retry: (part: Int, place: Int)?
    while place < text.count || part < parts.count {
      if part < parts.count {
        if case .any = parts[part] {
          part += 1
          retry = (part, place)
          continue
        }
        if place < text.count, Self.matches(parts[part], text[place]) {
          part += 1
          place += 1
          continue
        }
      }
      guard let last = retry, last.place < text.count else { return false }
      retry = (last.part, last.place + 1)
      (part, place) = (last.part, last.place + 1)
    }
    return true
  }

  private static func matches(_ part: Part, _ scalar: Unicode.Scalar) -> Bool {
    switch part {
    case .any: false
    case .one: true
    case .exactly(let wanted): wanted == scalar
    case .among(let ranges, let isNegated): ranges.contains { $0.contains(scalar.value) } != isNegated
    }
  }

  /// The set behind `[`, nil where it does not close.
  private static func set(_ rest: inout ArraySlice<Unicode.Scalar>) -> Part? {
    guard let close = rest.dropFirst().firstIndex(of: "]") else { return nil }
    var inner = rest[..<close]
    rest = rest[(close + 1)...]
    let isNegated = inner.first == "!" || inner.first == "^"
    if isNegated { inner.removeFirst() }
    var ranges: [ClosedRange<UInt32>] = []
    while let first = inner.popFirst() {
      var last = first
      if inner.first == "-", inner.count > 1 {
        last = inner[inner.startIndex + 1]
        inner = inner.dropFirst(2)
      }
      ranges.append(min(first.value, last.value)...max(first.value, last.value))
    }
    return .among(ranges, isNegated: isNegated)
  }
}
