internal import KVMTrace
internal import KVMTypes

extension HVARange {
  /// Whether an address lies in it.
  func contains(_ hva: HVA) -> Bool { start <= hva && hva < end }

  /// Whether it has an address in common with another one.
  @inline(__always)
  func overlaps(_ other: HVARange) -> Bool { start < other.end && other.start < end }

  /// The range, rounded outwards to multiples of `bytes`.
  func rounded(to bytes: UInt64) -> HVARange {
    let (up, overflows) = end.rawValue.addingReportingOverflow(bytes - 1)
    return HVARange(
      start: HVA(start.rawValue & ~(bytes - 1)), end: HVA(overflows ? .max : up & ~(bytes - 1)))
  }

  /// Whether it can be one folio, which is what reclaim unmaps at a time: a block at most, and a power of two.
  func isFolio(_ pageSize: PageSize) -> Bool {
    let bytes = end - start
    return bytes <= pageSize.pmdBytes && bytes.nonzeroBitCount == 1
  }

  /// Whether it is what one entry of the host's table maps, a page or a hugetlb page: what a VMM that is told of failed memory unmaps.
  func isPage(_ pageSize: PageSize) -> Bool {
    let bytes = end - start
    return bytes == pageSize.bytes || bytes == pageSize.pmdBytes || bytes == pageSize.granule(.l1)
  }
}
