extension TextCursor {
  /// The fewest digits that perf prints an address of the kernel with.
  private static let addressDigitsMin = 8

  /// Leaves out what `perf script -F +ip,+sym` writes behind an event: ` ffff80008011c6f8 kvm_arch_commit_memory_region+0x0
  /// ([kernel.kallsyms])`.
  @inline(__always)
  mutating func leaveOutSymbol() {
    if place < end, end[-1] == UInt8(ascii: ")") { leaveOutLastSymbol() }
  }

  @inline(never)
  private mutating func leaveOutLastSymbol() {
    var rest = self
    guard rest.takeLast(downTo: UInt8(ascii: "(")), rest.place < rest.end, rest.end[-1] == UInt8(ascii: " ")
    else {
      return
    }
    rest.end -= 1
    guard rest.takeLast(downTo: UInt8(ascii: " ")) else { return }
    let digitsEnd = rest.end
    while rest.place < rest.end, Self.isHexDigit(rest.end[-1]) { rest.end -= 1 }
    guard digitsEnd - rest.end >= Self.addressDigitsMin, rest.place < rest.end,
      rest.end[-1] == UInt8(ascii: " ")
    else { return }
    while rest.place < rest.end, rest.end[-1] == UInt8(ascii: " ") { rest.end -= 1 }
    end = rest.end
  }

  /// Takes what stands behind the last `byte`, and that; false where there is none.
  private mutating func takeLast(downTo byte: UInt8) -> Bool {
    while place < end {
      end -= 1
      if end.pointee == byte { return true }
    }
    return false
  }

  private static func isHexDigit(_ byte: UInt8) -> Bool {
    isDigit(byte) || (UInt8(ascii: "a")...UInt8(ascii: "f")).contains(byte | 0x20)
  }
}
