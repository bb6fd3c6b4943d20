/// Bytes as letters, for a page.
enum Base64 {
  private static let letters = Array("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/".utf8)

  static func text(_ bytes: [UInt8]) -> String {
    String(unsafeUninitializedCapacity: (bytes.count + 2) / 3 * 4) { text in
      var count = 0
      for first in stride(from: 0, to: bytes.count, by: 3) {
        let rest = bytes.count - first
        let group =
          UInt32(bytes[first]) << 16 | (rest > 1 ? UInt32(bytes[first + 1]) << 8 : 0)
          | (rest > 2 ? UInt32(bytes[first + 2]) : 0)
        for digit in 0..<4 {
          text[count + digit] =
            digit > rest ? UInt8(ascii: "=") : letters[Int(group >> (18 - 6 * UInt32(digit)) & 63)]
        }
        count += 4
      }
      return count
    }
  }
}
