namespace Lamina.SoftCpu.Translate;

/// <summary>What a direct jump wants to be connected with.</summary>
internal enum LinkKind
{
    /// <summary>The target's entry for flags in the host's.</summary>
    Native = 0,

    /// <summary>Its entry for saved flags.</summary>
    Saved = 1,

    /// <summary>The latter, in another page, while that is mapped as it is now.</summary>
    Guarded = 2,
}
