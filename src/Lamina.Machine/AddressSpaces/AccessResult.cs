namespace Lamina.Machine.AddressSpaces;

/// <summary>What became of a port or memory-mapped access.</summary>
public enum AccessResult
{
    /// <summary>The device took it.</summary>
    Done,

    /// <summary>Nothing answers there: reads give all ones, writes vanish.</summary>
    Unclaimed,

    /// <summary>The device exists but not at this width or alignment: reads give all ones, writes vanish.</summary>
    BadWidth,
}
