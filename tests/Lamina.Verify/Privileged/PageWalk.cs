namespace Lamina.Verify.Privileged;

/// <summary>The entries of page tables that translate an address, by their levels: 0 is a page table, 3 the PML4.</summary>
internal sealed class PageWalk
{
    public ulong[] Addresses { get; } = new ulong[4];

    public ulong[] Entries { get; } = new ulong[4];

    /// <summary>Level of the first entry.</summary>
    public int Top { get; set; }

    /// <summary>Level of the last entry that was looked at.</summary>
    public int Level { get; set; }

    public bool IsPresent { get; set; }

    /// <summary>The last entry has reserved bits set.</summary>
    public bool IsReserved { get; set; }

    public bool IsUser { get; set; }

    public bool IsWritable { get; set; }

    public bool NoExecute { get; set; }

    /// <summary>Bytes of the page.</summary>
    public ulong Size { get; set; }

    /// <summary>Its physical address.</summary>
    public ulong Frame { get; set; }

    /// <summary>It translates the address.</summary>
    public bool IsWhole => IsPresent && !IsReserved;
}
