internal import KVMTrace
internal import KVMTypes

/// Where in host memory notifiers aged something (`kvm_age_hva`), in the whole of a trace.
///
/// Reclaim finds what it ages on LRU lists, and hugetlb pages are on none. So a guest's memory that was never aged,
/// though much else was, is taken to be hugetlb. The events do not name their process, so that is an assumption.
struct HostAges {
  /// How much has to be aged elsewhere before that says something of memory that was not.
  static let agesMin = 16
  /// Beyond that many places nothing is concluded.
  static let placesMax = 1 << 18
  private static let placeShift: UInt64 = 21

  private(set) var count = 0
  private var places: Set<FrameKey> = []
  /// The last one: neighbours are aged one after the other.
  private var last: UInt64?

  /// kvm_age_hva.
  mutating func note(_ range: HVARange) {
    count += 1
    let place = range.start.rawValue >> Self.placeShift
    guard place != last else { return }
    last = place
    if places.count < Self.placesMax { places.insert(FrameKey(place)) }
  }

  /// Whether memory was left out where much was aged.
  func skip(_ hva: HVA, bytes: UInt64) -> Bool {
    guard count >= Self.agesMin, places.count < Self.placesMax, bytes > 0 else { return false }
    let first = hva.rawValue >> Self.placeShift
    let last = (hva.rawValue &+ (bytes - 1)) >> Self.placeShift
    guard first <= last else { return false }
    if last - first < UInt64(places.count) {
      return !(first...last).contains { places.contains(FrameKey($0)) }
    }
    return !places.contains { first <= $0.value && $0.value <= last }
  }
}
