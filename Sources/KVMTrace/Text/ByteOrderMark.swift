/// What editors and shells of Windows write before a text of UTF-8. It says nothing of what follows.
enum ByteOrderMark {
  private static let bytes: [UInt8] = [0xef, 0xbb, 0xbf]

  /// How many bytes of it `text` begins with: all, or none.
  static func count(_ text: some Sequence<UInt8>) -> Int { text.starts(with: bytes) ? bytes.count : 0 }
}
