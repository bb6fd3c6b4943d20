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

  /// What faults showed of a region.
  private struct Traits: OptionSet {
    var rawValue: UInt8
    /// It was empty once.
    static let empty = Traits(rawValue: 1)
    /// It took faults at level 3.
    static let pages = Traits(rawValue: 2)
  }

  /// By region, as far as addresses go that guests have: a set of them took a good part of the survey's time.
  private var low: ContiguousArray<Traits> = []
  /// Of the regions beyond.
  private var high: [FrameKey: Traits] = [:]
  private var empty = 0
  private var pages = 0
  private var emptyWithPages = 0
  private let shift: UInt64

  /// Regions below this number, 2 TiB of pages of 4 KiB, take a byte each.
  private static let lowMax: UInt64 = 1 << 20

  init(pageSize: PageSize) { shift = pageSize.levelShift(.l2) }

  /// A translation fault of an access, not of a stage-1 walk.
  @inline(__always)
  mutating func note(_ ipa: IPA, _ level: TranslationLevel) {
    let region = ipa.rawValue >> shift
    let trait = level == .l3 ? Traits.pages : .empty
    let known = traits(region)
    if !known.contains(trait) { add(trait, to: region, known) }
  }

  @inline(__always)
  private func traits(_ region: UInt64) -> Traits {
    if region < UInt64(low.count) { return low[Int(region)] }
    return region < Self.lowMax ? [] : high[FrameKey(region)] ?? []
  }

  private mutating func add(_ trait: Traits, to region: UInt64, _ known: Traits) {
    guard (trait == .pages ? pages : empty) < Self.regionsMax else { return }
    if trait == .pages { pages += 1 } else { empty += 1 }
    if !known.isEmpty { emptyWithPages += 1 }
    guard region < Self.lowMax else {
      high[FrameKey(region)] = known.union(trait)
      return
    }
    if region >= UInt64(low.count) {
      low.append(contentsOf: repeatElement([], count: Int(region) + 1 - low.count))
    }
    low[Int(region)] = known.union(trait)
  }

  /// Whether the host maps pages, as far as that shows: three quarters of the regions at least, for those of devices hold
  /// nothing, and little is touched in some.
  var areOfPages: Bool { empty >= Self.regionsMin && 4 * emptyWithPages >= 3 * empty }
}
