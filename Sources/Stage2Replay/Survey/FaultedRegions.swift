internal import KVMTypes

/// How translation faults stopped in the regions that a block may map, in the whole of a trace.
///
/// A region of pages takes a fault at level 3 for every further page that is touched, a block none. So where nearly all
/// regions that were empty once took such faults, the host maps no blocks.
struct FaultedRegions {
  /// How many regions it takes to say something.
  static let regionsMin = 8
  /// Beyond that many regions nothing more is taken in.
  static let regionsMax = 1 << 18

  private var empty: Set<UInt64> = []
  private var pages: Set<UInt64> = []
  private let shift: UInt64

  init(pageSize: PageSize) { shift = pageSize.levelShift(.l2) }

  /// A translation fault of an access, not of a stage-1 walk.
  mutating func note(_ ipa: IPA, _ level: TranslationLevel) {
    let region = ipa.rawValue >> shift
    if level == .l3 {
      if pages.count < Self.regionsMax { pages.insert(region) }
    } else if empty.count < Self.regionsMax {
      empty.insert(region)
    }
  }

  /// Whether the host maps pages, as far as that shows: three quarters of the regions at least, for those of devices hold
  /// nothing, and little is touched in some.
  var areOfPages: Bool {
    guard empty.count >= Self.regionsMin else { return false }
    return 4 * empty.intersection(pages).count >= 3 * empty.count
  }
}
