/// The symbols of the traced kernel, as `/proc/kallsyms` lists them: `ADDRESS TYPE NAME [MODULE]`, one a line.
///
/// The text is read when the first event that could name one is printed.
final class KernelSymbols {
  private let text: () -> UnsafeRawBufferPointer?

  /// Symbols that `text` brings when they are needed.
  init(_ text: @escaping () -> UnsafeRawBufferPointer?) { self.text = text }

  /// Calls `body` with every symbol that has an address. Those that a kernel hides have the address 0.
  func forEach(_ body: (UInt64, String) -> Void) {
    guard let text = text() else { return }
    for line in text.split(separator: UInt8(ascii: "\n")) {
      let words = line.split(maxSplits: 3, whereSeparator: { $0 == UInt8(ascii: " ") || $0 == 0x09 })
      guard words.count >= 3, let address = Self.address(words[0]), address != 0, words[1].count == 1,
        // An absolute symbol is a number, or an offset in each CPU's memory.
        words[1].first! | 0x20 != UInt8(ascii: "a"), words[2].count <= 512
      else { continue }
      let name = words[2].prefix { $0 != 0 }
      body(address, String(decoding: name, as: UTF8.self))
    }
  }

  private static func address(_ digits: Slice<UnsafeRawBufferPointer>) -> UInt64? {
    guard (1...16).contains(digits.count) else { return nil }
    var value: UInt64 = 0
    for byte in digits {
      let digit: UInt8
      switch byte {
      case UInt8(ascii: "0")...UInt8(ascii: "9"): digit = byte - UInt8(ascii: "0")
      case UInt8(ascii: "a")...UInt8(ascii: "f"): digit = byte - UInt8(ascii: "a") + 10
      case UInt8(ascii: "A")...UInt8(ascii: "F"): digit = byte - UInt8(ascii: "A") + 10
      default: return nil
      }
      value = value << 4 | UInt64(digit)
    }
    return value
  }
}
