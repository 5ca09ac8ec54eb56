namespace Lamina.Machine.Memory;

/// <summary>What is known about one 4 KiB page of guest RAM. Every host-side write consults it.</summary>
[Flags]
public enum PageAttributes : byte
{
    /// <summary>Nothing is known.</summary>
    None = 0,

    /// <summary>The page was written since the dirty log was last cleared.</summary>
    Dirty = 1,

    /// <summary>Decoded or translated code was made from this page: a write must invalidate it.</summary>
    Code = 2,
}
