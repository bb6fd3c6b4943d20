internal import KVMTypes

/// Finds the vCPU behind a thread number in one load: a table indexed by the number, grown to the highest one seen.
/// Linux hands out numbers below 4,194,304 (`PID_MAX_LIMIT`), which bounds it to 16 MiB.
struct ThreadTable {
  private static let limit = 1 << 22
  private var positions: [Int32] = []

  /// The position of the vCPU that `tid` runs, nil where it never entered a guest.
  @inline(__always)
  subscript(tid: ThreadID) -> Int? {
    let index = Int(tid.rawValue)
    guard index >= 0, index < positions.count else { return nil }
    let position = positions[index]
    return position < 0 ? nil : Int(position)
  }

  /// Makes `tid` known as the vCPU at `position`. Numbers that Linux cannot hand out are refused.
  mutating func insert(_ tid: ThreadID, position: Int) -> Bool {
    let index = Int(tid.rawValue)
    guard index >= 0, index < Self.limit else { return false }
    if index >= positions.count {
      positions.append(contentsOf: repeatElement(-1, count: index + 1 - positions.count))
    }
    positions[index] = Int32(position)
    return true
  }
}
