namespace Lamina.Boot.Layout;

/// <summary>What a guest may do with a range of physical addresses. The values are those of E820 and of PVH (ACPI 6.5, section 15).</summary>
public enum MemoryRangeType : uint
{
    /// <summary>Free RAM.</summary>
    Usable = 1,

    /// <summary>Not to be used.</summary>
    Reserved = 2,

    /// <summary>ACPI tables: free once they have been read.</summary>
    AcpiTables = 3,
}
