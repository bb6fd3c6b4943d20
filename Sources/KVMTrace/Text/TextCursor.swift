/// A place in a line of text.
///
/// Invariant: `place <= end`, and all bytes from `place` up to `end` are readable for as long as the line is.
struct TextCursor: BitwiseCopyable {
  var place: UnsafePointer<UInt8>
  /// Where the line ends.
  var end: UnsafePointer<UInt8>

  /// How many bytes are left.
  var count: Int { end - place }
  var isAtEnd: Bool { place == end }
  /// The next byte, 0 at the end.
  var byte: UInt8 { place < end ? place.pointee : 0 }

  /// The byte that follows `distance` bytes later, 0 behind the end.
  func byte(after distance: Int) -> UInt8 { distance < count ? place[distance] : 0 }

  @inline(__always)
  mutating func skipSpaces() {
    while place < end, place.pointee == UInt8(ascii: " ") || place.pointee == UInt8(ascii: "\t") {
      place += 1
    }
  }

  /// The same where there are many, as where columns are filled up: eight at a time.
  @inline(__always)
  mutating func skipPadding() {
    while count >= 8 {
      let others = Self.word(place) ^ 0x2020_2020_2020_2020
      place += others.trailingZeroBitCount &>> 3
      if others != 0 { break }
    }
    skipSpaces()
  }

  /// Goes on to the next space, or to the end.
  @inline(__always)
  mutating func skipWord() {
    while place < end, place.pointee != UInt8(ascii: " ") { place += 1 }
  }

  /// Goes on to the next space, to the end, or so many bytes.
  @inline(__always)
  mutating func skipWord(atMost bytes: Int) {
    let limit = place + min(bytes, count)
    while place < limit, place.pointee != UInt8(ascii: " ") { place += 1 }
  }

  /// Goes on behind the next `byte`; false, and to the end, where there is none.
  mutating func skip(behind byte: UInt8) -> Bool {
    while place < end {
      place += 1
      if place[-1] == byte { return true }
    }
    return false
  }

  /// Takes `byte` if it is the next one.
  @inline(__always)
  mutating func take(_ byte: UInt8) -> Bool {
    guard place < end, place.pointee == byte else { return false }
    place += 1
    return true
  }

  /// Takes `text` if that is what comes next.
  mutating func take(_ text: StaticString) -> Bool {
    guard begins(with: text) else { return false }
    place += text.utf8CodeUnitCount
    return true
  }

  /// Whether `text` comes next.
  func begins(with text: StaticString) -> Bool {
    guard count >= text.utf8CodeUnitCount else { return false }
    for index in 0..<text.utf8CodeUnitCount where place[index] != text.utf8Start[index] { return false }
    return true
  }

  /// Whether the `count` bytes of `text` come next, compared eight at a time: it has zeros up to a multiple of eight. False near the
  /// end of the line, too.
  @inline(__always)
  func begins(withPadded text: UnsafePointer<UInt8>, _ count: Int) -> Bool {
    guard self.count >= (count &+ 7) & ~7 else { return false }
    var (index, difference) = (0, UInt64(0))
    while index &+ 8 <= count {
      difference |= Self.word(place + index) ^ Self.word(text + index)
      index &+= 8
    }
    if index < count {
      difference |=
        (Self.word(place + index) ^ Self.word(text + index)) &<< UInt64(8 &* (8 &- (count &- index)))
    }
    return difference == 0
  }

  /// The eight bytes from `place` on.
  @inline(__always)
  static func word(_ place: UnsafePointer<UInt8>) -> UInt64 {
    UInt64(littleEndian: UnsafeRawPointer(place).loadUnaligned(as: UInt64.self))
  }

  /// `text` with zeros behind it, up to a multiple of eight.
  static func padded(_ text: [UInt8]) -> [UInt8] { text + [UInt8](repeating: 0, count: -text.count & 7) }

  /// What is left, as text.
  var text: String { String(decoding: UnsafeBufferPointer(start: place, count: count), as: UTF8.self) }
}

extension TextCursor {
  /// Takes a decimal number; nil where there is none, or one that has no room in 64 bits.
  @inline(__always)
  mutating func decimal() -> UInt64? {
    let begin = place
    var value: UInt64 = 0
    while place < end {
      let digit = place.pointee &- UInt8(ascii: "0")
      guard digit < 10 else { break }
      value = value &* 10 &+ UInt64(digit)
      place += 1
    }
    let digits = place - begin
    if digits > 0, digits < 20 { return value }
    return digits == 0 ? nil : longDecimal(begin)
  }

  /// The number of 20 digits or more that stands before the place.
  @inline(never)
  private func longDecimal(_ begin: UnsafePointer<UInt8>) -> UInt64? {
    var value: UInt64 = 0
    for byte in UnsafeBufferPointer(start: begin, count: place - begin) {
      let (product, overflow) = value.multipliedReportingOverflow(by: 10)
      let (sum, carry) = product.addingReportingOverflow(UInt64(byte &- UInt8(ascii: "0")))
      guard !overflow, !carry else { return nil }
      value = sum
    }
    return value
  }

  /// Takes a number in hexadecimal digits, with `0x` before it or without; nil where there is none, or one of more than 64 bits.
  ///
  /// Digit by digit, a sixth of a pass over a text went into this.
  @inline(__always)
  mutating func hexadecimal() -> UInt64? {
    if byte == UInt8(ascii: "0"), byte(after: 1) | 0x20 == UInt8(ascii: "x") { place += 2 }
    let begin = place
    var (value, overflow) = (UInt64(0), UInt64(0))
    while count >= 8 {
      let digits = HexDigits(Self.word(place))
      overflow |= digits.count > 0 ? value &>> UInt64(64 &- 4 &* digits.count) : 0
      value = value &<< UInt64(4 &* digits.count) | digits.value
      place += digits.count
      if digits.count < 8 { return place > begin && overflow == 0 ? value : nil }
    }
    while place < end {
      let digit = Self.hexDigit(place.pointee)
      guard digit < 16 else { break }
      overflow |= value &>> 60
      value = value &<< 4 | UInt64(digit)
      place += 1
    }
    return place > begin && overflow == 0 ? value : nil
  }

  /// Takes a number as kernels print one whose base nobody tells: hexadecimal behind `0x` or where a letter says so, else decimal,
  /// perhaps with a sign.
  mutating func number() -> UInt64? {
    let isNegative = take(UInt8(ascii: "-"))
    if byte == UInt8(ascii: "0"), byte(after: 1) | 0x20 == UInt8(ascii: "x") { return hexadecimal() }
    let begin = place
    let value = decimal()
    if Self.hexDigit(byte) < 16, !isNegative {
      place = begin
      return hexadecimal()
    }
    return value.map { isNegative ? 0 &- $0 : $0 }
  }

  /// What a hexadecimal digit stands for; 255 where it is none.
  @inline(__always)
  static func hexDigit(_ byte: UInt8) -> UInt8 {
    let digit = byte &- UInt8(ascii: "0")
    if digit < 10 { return digit }
    let letter = (byte | 0x20) &- UInt8(ascii: "a")
    return letter < 6 ? letter + 10 : 255
  }

  @inline(__always)
  static func isDigit(_ byte: UInt8) -> Bool { byte &- UInt8(ascii: "0") < 10 }

  /// Whether it may be part of a name in C.
  @inline(__always)
  static func isWord(_ byte: UInt8) -> Bool {
    isDigit(byte) || (byte | 0x20) &- UInt8(ascii: "a") < 26 || byte == UInt8(ascii: "_")
  }
}
