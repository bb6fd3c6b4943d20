import Testing

@testable import KVMTrace

/// Hexadecimal numbers in texts, read eight digits at a time where the line is long enough.
@Suite("Hexadecimal numbers in text")
struct HexDigitsTests {
  /// The number that `text` begins with, and how long it is.
  private static func number(_ text: [UInt8]) -> (value: UInt64?, count: Int) {
    text.withUnsafeBufferPointer { bytes in
      let begin = bytes.baseAddress!
      var cursor = TextCursor(place: begin, end: begin + bytes.count)
      let value = cursor.hexadecimal()
      return (value, cursor.place - begin)
    }
  }

  @Test("every byte is a digit or ends the number, wherever it stands")
  func everyByte() {
    for byte in UInt8.min...UInt8.max {
      let isDigit = "0123456789abcdefABCDEF".utf8.contains(byte)
      for place in 0..<8 {
        var text = Array("12345678".utf8)
        text[place] = byte
        let digits = HexDigits(text.withUnsafeBytes { $0.loadUnaligned(as: UInt64.self) })
        let prefix = String(decoding: isDigit ? text : Array(text[..<place]), as: UTF8.self)
        #expect(digits.count == prefix.utf8.count, "\(text)")
        #expect(digits.value == UInt64("0" + prefix, radix: 16), "\(text)")
      }
    }
  }

  @Test("numbers of every length, with what follows and without")
  func lengths() {
    for count in 1...20 {
      for zeros in 0...count {
        let digits = String(repeating: "0", count: zeros) + "fEdCbA9876543210fedc".prefix(count - zeros)
        for (begin, end) in [("", ""), ("0x", ""), ("0X", " (WFx), PC"), ("", "g0123456789")] {
          let (value, length) = Self.number(Array((begin + digits + end).utf8))
          #expect(value == UInt64(digits, radix: 16), "\(begin)\(digits)\(end)")
          #expect(length == begin.utf8.count + count, "\(begin)\(digits)\(end)")
        }
      }
    }
  }

  @Test("where no digit stands there is no number", arguments: ["g", " 12345678", "0x", "0xg0123456789"])
  func none(text: String) { #expect(Self.number(Array(text.utf8)).value == nil) }
}
