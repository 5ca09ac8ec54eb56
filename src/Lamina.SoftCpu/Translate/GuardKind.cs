namespace Lamina.SoftCpu.Translate;

/// <summary>What stands between a direct jump and the translation that it is linked with.</summary>
internal enum GuardKind
{
    /// <summary>From a translation for one address to another page: asks how that is mapped (<see cref="CodeCache.MappingNumber"/>).</summary>
    Mapping,

    /// <summary>From a shared translation to another page, whose linear address is in <see cref="Host.Address"/>: asks whether it is there (<see cref="CodeCache.PlaceNumber"/>).</summary>
    Place,

    /// <summary>From a translation for one address to a shared one of the same page: says which page that is.</summary>
    Bridge,

    /// <summary>The same with the flags in the host's.</summary>
    NativeBridge,
}
