namespace Lamina.SoftCpu.Memory;

/// <summary>A successful page walk.</summary>
internal struct PageTranslation
{
    /// <summary>Guest-physical address of the byte asked for.</summary>
    public ulong Physical;

    /// <summary>Size of the mapping in bytes: 4 KiB, 2 MiB, 4 MiB or 1 GiB.</summary>
    public ulong PageSize;

    /// <summary>The translation outlives a load of CR3 (CR4.PGE and the G flag).</summary>
    public bool Global;

    /// <summary>A write is permitted at this privilege and the dirty flag is set: later writes need no walk.</summary>
    public bool Writable;
}
