internal import KVMTypes

/// From a ring buffer's stamp to nanoseconds, in the order that trace-cmd applies: scale, then offset.
struct TimeConversion: Hashable {
  /// TSC2NSEC: `(stamp x multiplier) >> shift`, absent where stamps are nanoseconds already.
  var multiplier: UInt32 = 0
  var shift: UInt32 = 0
  /// DATE and OFFSET, in nanoseconds.
  var offset: Int64 = 0

  @inline(__always)
  func nanoseconds(_ stamp: UInt64) -> Nanoseconds {
    var value = stamp
    if multiplier != 0 {
      let product = value.multipliedFullWidth(by: UInt64(multiplier))
      value = (product.low >> UInt64(shift)) | (shift == 0 ? 0 : product.high << UInt64(64 - shift))
    }
    return Nanoseconds(value &+ UInt64(bitPattern: offset))
  }
}
