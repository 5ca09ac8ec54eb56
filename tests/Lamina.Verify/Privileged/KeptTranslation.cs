namespace Lamina.Verify.Privileged;

/// <summary>What a processor may keep of the entries that translate a page (Intel SDM volume 3, sections 4.10.2 and 4.10.3): the translation itself in a TLB, and the entries above the page in paging-structure caches.</summary>
internal readonly record struct KeptTranslation
{
    /// <summary>Number of the linear page of 4 KiB.</summary>
    public ulong Page { get; init; }

    /// <summary>Process-context identifier under which it was made.</summary>
    public int Space { get; init; }

    /// <summary>The translation is kept, not only entries above it.</summary>
    public bool IsWhole { get; init; }

    /// <summary>It is used under any process-context identifier.</summary>
    public bool IsGlobal { get; init; }

    /// <summary>Physical address of these 4 KiB.</summary>
    public ulong Frame { get; init; }

    /// <summary>Bytes of the page.</summary>
    public ulong Size { get; init; }

    public bool IsUser { get; init; }

    public bool IsWritable { get; init; }

    public bool NoExecute { get; init; }

    public bool IsDirty { get; init; }

    /// <summary>How many entries above the page are kept.</summary>
    public int Upper { get; init; }

    /// <summary>The topmost one, without its accessed and dirty flags.</summary>
    public ulong First { get; init; }

    public ulong Second { get; init; }

    public ulong Third { get; init; }

    /// <summary>What of control registers the entries' meaning depends on.</summary>
    public int Meaning { get; init; }
}
