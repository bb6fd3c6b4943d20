internal import KVMTrace
internal import KVMTypes

/// What is known of one guest fault when its window ends.
struct FaultRecord {
  /// The fault's event: its time, processor, thread and place in the merged trace.
  var time: Nanoseconds
  var cpu: CPUIndex
  var tid: ThreadID
  var sequence: UInt64
  /// The address, with the granularity of the host's page.
  var page: IPA
  var kind: FaultKind
  var level: TranslationLevel
  var isWrite: Bool
  var isExec: Bool
  /// The VM, and the vCPU's number in it.
  var vm: Int
  var vcpu: Int
  /// The thread's last kvm_entry before the fault.
  var entry: UInt64
  /// The slot that holds the address; nil where none did, which a later commit may correct.
  var slot: Memslot?
  /// What followed inside the window.
  var sawAccessFault = false
  var sawMMIO = false
  var failed = false
  var retriedByOwnUnmap = false
  /// The window's end: the thread's next kvm_entry.
  var end: UInt64 = .max
  var endTime = Nanoseconds(0)
  /// Which window of the thread it is, to match operations that probes recorded.
  var window: UInt32
  var node: TimelineNode.Index
}
