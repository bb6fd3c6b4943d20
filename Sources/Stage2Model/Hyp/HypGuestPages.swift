public import KVMTypes

/// Where EL2 takes the tables of a guest from (`guest_s2_zalloc_page`, `guest_s2_put_page`): the VM's pool
/// first, then the memory cache of the vCPU that is loaded.
///
/// A freed table goes to the pool and never back to the host while the VM lives, so a VM's table memory at
/// EL2 only grows.
public struct HypGuestPages: TablePages {
  /// Every page and every mapping object of the VM, the host's side included.
  public internal(set) var memory: MemoryAccounting
  /// Free pages of `pkvm_hyp_vm::pool`.
  public internal(set) var pool = 0
  /// Pages in EL2's memory cache of the vCPU whose hypercall is being handled.
  var memcache = 0

  init(memory: MemoryAccounting) { self.memory = memory }

  /// EL2 must never collapse a table into a block: sharing insists on an unmapped range instead.
  public static var hasFreeUnlinkedTable: Bool { false }

  /// EL2 always has a cache at hand, if an empty one.
  public var hasMemcache: Bool { true }

  /// Pages of pool and cache.
  public var sparePages: Int { pool + memcache }

  /// A page of the pool, else of the cache.
  public mutating func takePage(level: TranslationLevel) -> Bool {
    if pool > 0 {
      pool -= 1
      memory.move(from: .pool, to: .table(level: level))
    } else if memcache > 0 {
      memcache -= 1
      memory.move(from: .hypMemcache, to: .table(level: level))
    } else {
      return false
    }
    return true
  }

  /// To the pool.
  public mutating func freePage(level: TranslationLevel) {
    pool += 1
    memory.move(from: .table(level: level), to: .pool)
  }
}
