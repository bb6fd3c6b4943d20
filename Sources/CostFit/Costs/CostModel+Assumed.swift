internal import KVMTypes

extension CostModel {
  /// The sets of values that need no calibration, which nobody measured as a set. They serve to compare one
  /// kernel with another on equal terms, not to predict times.
  public static let builtIn = [assumed, assumedPMDFixmap]

  /// The built-in set of that name.
  public static func builtIn(named name: String) -> CostModel? { builtIn.first { $0.name == name } }

  /// Orders of magnitude for a core of some 2 GHz with 4 KiB pages, each with its reason. Cache maintenance is
  /// that of one page at a time, which is too dear for blocks from 6.16 on: see `assumedPMDFixmap`.
  public static let assumed = assumedSet(
    name: "assumed", cachePage: pageFixmap,
    cacheSource: """
      700 us for the 512 pages of a block, one by one, on a Pixel 6: Linux commit c353fde17d8f, \
      "KVM: arm64: np-guest CMOs with PMD_SIZE fixmap"
      """)

  /// As `assumed`, but with cache maintenance that maps a whole block at EL2 at once: what 6.16 and later do
  /// with 4 KiB and 16 KiB pages. Too cheap for single pages.
  public static let assumedPMDFixmap = assumedSet(
    name: "assumed-pmd-fixmap", cachePage: blockFixmap,
    cacheSource: """
      100 us for the 512 pages of a block, mapped at once, on a Pixel 6: Linux commit c353fde17d8f, \
      "KVM: arm64: np-guest CMOs with PMD_SIZE fixmap"
      """)

  private static let pageFixmap = 700_000.0 / 512
  private static let blockFixmap = 100_000.0 / 512

  private static func assumedSet(name: String, cachePage: Double, cacheSource: String) -> CostModel {
    func value(_ nanoseconds: Double, _ reason: String) -> CostValue {
      CostValue(nanoseconds: nanoseconds, basis: .assumed, source: reason)
    }
    return CostModel(
      name: name, source: "orders of magnitude, not measured as a set",
      drivers: [
        .operation: value(300, "some 600 cycles to take and release a free lock and check for a retry"),
        .hypercall: value(500, "some 1,000 cycles for two exceptions, dispatch, and two locks at EL2"),
        .pageState: value(10, "some 20 cycles to check and write an entry of hyp_vmemmap that is in a cache"),
        .descriptor: value(10, "some 20 cycles for a load that misses the first cache, and a call"),
        .treeNode: value(20, "some 40 cycles for a load that depends on the one before and misses caches"),
        .tablePage: value(300, "4 KiB cleared at some 16 bytes a nanosecond, and linked in"),
        .memcachePage: value(
          1500, "two page tables changed, the host's stage 2 and EL2's stage 1, and a TLB invalidation"),
        .cachePage: value(cachePage, cacheSource),
        .tlbInvalidation: value(1000, "a broadcast to all CPUs and the wait for the last of them"),
        .reschedPoint: value(10, "two flags looked at"),
      ])
  }
}
