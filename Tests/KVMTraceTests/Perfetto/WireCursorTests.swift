import Testing

@testable import KVMTrace

@Suite("WireCursor")
struct WireCursorTests {
  /// What the first varint of `bytes` is, with other bytes behind them, and how long.
  private func first(_ bytes: [UInt8], behind: UInt8 = 0xff) -> (value: UInt64?, count: Int) {
    let padded = bytes + [UInt8](repeating: behind, count: WireCursor.slackBytes)
    return padded.withUnsafeBytes { raw in
      var cursor = WireCursor(UnsafeRawBufferPointer(rebasing: raw[..<bytes.count]))
      let start = cursor.position
      let value = cursor.varint()
      return (value, cursor.position - start)
    }
  }

  @Test("a varint of every length", arguments: 0...64)
  func lengths(bits: Int) {
    let value = bits == 64 ? UInt64.max : (1 << UInt64(bits)) - 1
    for value in [value, value &+ 1, value & 0xa5a5_a5a5_a5a5_a5a5, value ^ (value >> 1)] {
      let bytes = ProtoMessage.varint(value)
      #expect(first(bytes) == (value, bytes.count))
      #expect(first(bytes + [0x01]) == (value, bytes.count))
    }
  }

  @Test("a varint that runs past the end is none, whatever stands behind it", arguments: 1...10)
  func cut(count: Int) {
    let bytes = [UInt8](repeating: 0x80, count: count - 1)
    #expect(first(bytes, behind: 0).value == nil && first(bytes, behind: 0xff).value == nil)
    #expect(first(bytes, behind: 1).value == nil)
  }

  @Test("a varint of more than ten bytes is none")
  func tooLong() {
    #expect(first([UInt8](repeating: 0x80, count: 10) + [1]).value == nil)
  }

  @Test("the fields of a message, and what is none")
  func fields() {
    let message = ProtoMessage().adding(1, 300).adding(2, "text").appending([3 << 3 | 5, 1, 2, 0, 0])
      .appending([4 << 3 | 1, 9, 0, 0, 0, 0, 0, 0, 0x80]).adding(5, -1)
    let padded = message.bytes + [UInt8](repeating: 0xff, count: WireCursor.slackBytes)
    padded.withUnsafeBytes { raw in
      var reader = WireMessage(UnsafeRawBufferPointer(rebasing: raw[..<message.bytes.count]))
      #expect(reader.next()?.value == 300)
      #expect(reader.next()?.text == "text")
      #expect(reader.next()?.value == 0x201)
      #expect(reader.next()?.value == 0x8000_0000_0000_0009)
      #expect(reader.next()?.signed == -1)
      #expect(reader.next() == nil && !reader.isMalformed)
      for count in 1..<message.bytes.count {
        var cut = WireMessage(UnsafeRawBufferPointer(rebasing: raw[..<count]))
        while cut.next() != nil {}
        #expect(cut.isMalformed != [3, 9, 14, 23].contains(count))
      }
    }
  }
}
