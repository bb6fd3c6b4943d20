public import KVMTypes

/// Who owns a page and who else may use it, from one component's view (`enum pkvm_page_state`).
@frozen
public enum HypPageState: UInt8, Hashable, Sendable {
  /// The component alone (`PKVM_PAGE_OWNED`).
  case owned = 0
  /// The component owns it, another may use it (`PKVM_PAGE_SHARED_OWNED`).
  case sharedOwned = 1
  /// Another component owns it and shares it (`PKVM_PAGE_SHARED_BORROWED`).
  case sharedBorrowed = 2
  /// The component has no access (`PKVM_NOPAGE`).
  case noPage = 3
  /// A guest's page that was taken by force; never a host's state (`PKVM_POISON`).
  case poison = 4

  /// The software bits of a guest leaf in this state (`pkvm_mkstate`).
  @inlinable
  var prot: Stage2Prot { Stage2Prot(rawValue: UInt64(rawValue & 3) << 55) }
}

extension Stage2Descriptor {
  /// `guest_get_page_state`.
  @inlinable
  @inline(__always)
  var guestPageState: HypPageState {
    if isValid {
      return HypPageState(rawValue: UInt8(truncatingIfNeeded: rawValue >> 55) & 3).unsafelyUnwrapped
    }
    return invalidType == .poisoned ? .poison : .noPage
  }
}
