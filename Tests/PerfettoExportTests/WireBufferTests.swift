import Testing

@testable import PerfettoExport

/// Bytes of messages against the examples of protobuf's own page, and read back.
@Suite("Messages as bytes")
struct WireBufferTests {
  @Test("The examples of protobuf's page on the encoding")
  func examples() {
    var buffer = WireBuffer()
    buffer.varint(1, 150)
    buffer.text(2, "testing")
    buffer.message(3) { $0.varint(1, 150) }
    #expect(
      buffer.bytes == [
        0x08, 0x96, 0x01, 0x12, 0x07, 0x74, 0x65, 0x73, 0x74, 0x69, 0x6e, 0x67, 0x1a, 0x03, 0x08, 0x96, 0x01,
      ])
    buffer.removeAll()
    buffer.signed(1, -2)
    #expect(buffer.bytes == [0x08, 0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0x01])
    buffer.removeAll()
    buffer.fixed64(47, 0x0102_0304_0506_0708)
    #expect(buffer.bytes == [0xf9, 0x02, 8, 7, 6, 5, 4, 3, 2, 1])
    buffer.removeAll()
    buffer.double(44, 1)
    #expect(buffer.bytes == [0xe1, 0x02, 0, 0, 0, 0, 0, 0, 0xf0, 0x3f])
  }

  @Test(
    "Numbers at the ends of each length", arguments: [0, 1, 127, 128, 16383, 16384, 1 << 35, UInt64.max])
  func numbers(value: UInt64) {
    var buffer = WireBuffer()
    buffer.varint(3000, value)
    buffer.varint(1, 7)
    let message = ReadMessage(buffer.bytes)
    #expect(message.number(3000) == value && message.number(1) == 7 && message.fields.count == 2)
  }

  @Test(
    "Messages in messages, of lengths that take one byte to three", arguments: [0, 126, 127, 128, 300, 20000])
  func nested(length: Int) {
    let text = String(repeating: "x", count: length)
    var buffer = WireBuffer()
    buffer.message(1) { outer in
      outer.message(2) { inner in
        inner.text(3, text)
        inner.message(4) { _ in }
      }
      outer.varint(5, 6)
    }
    buffer.varint(7, 8)
    let message = ReadMessage(buffer.bytes)
    let outer = message.messages(1)[0]
    #expect(message.number(7) == 8 && outer.number(5) == 6)
    #expect(outer.messages(2)[0].text(3) == text && outer.messages(2)[0].messages(4)[0].fields.isEmpty)
  }
}
