internal import Stage2Model

/// Another kernel under which the guest's recorded accesses are modelled, in place of the one that was traced.
///
/// The traced kernel is replayed, and what is decided there of host and guest holds for the other one: whose memory it is, what came
/// of each fault, what was unmapped, aged, split or reset, and where the table was corrected. Where the other kernel's table is what
/// the traced one's was, a fault is its fault, too; elsewhere it stands for an access, and that kernel's model says whether it faults,
/// and what is done. So the traced kernel itself comes to what its replay does. The trace does not tell everything:
///
/// - A kernel that maps pages only would fault on every page that the guest touches in what the traced kernel mapped as
///   a block, and those touches left no event.
/// - A kernel that maps blocks would do so where the host's memory is huge, which a kernel that maps pages only never
///   shows.
///
/// So where the two differ in that, there is a least and a most. An access flag fault is an access, too: under a kernel that maps pages it
/// is a fault on that page, which is old, or is not mapped yet; the rest of the block is as open as with the fault that mapped it.
///
/// Faults that only the lock of the traced kernel's faults let happen, such as those in the moment in which it replaced an entry, are
/// none where the other one has another lock.
public struct OtherKernel: Hashable, Sendable {
  /// What is assumed where the trace does not tell.
  public enum Extent: Hashable, Sendable, CaseIterable {
    /// Of a recorded block only the page that faulted was touched; where only pages were mapped, the host has only
    /// pages.
    case least
    /// Of a recorded block every page was touched; where only pages were mapped, blocks are possible wherever the slot
    /// could hold one.
    case most
  }

  /// The kernel. What it does not say of the machine is the traced one's.
  public var request: ProfileRequest
  /// What is assumed.
  public var extent: Extent

  /// The kernel of `request`.
  public init(_ request: ProfileRequest, _ extent: Extent) {
    self.request = request
    self.extent = extent
  }
}
