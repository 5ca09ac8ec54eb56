namespace Lamina.Storage;

/// <summary>What a check does about what it finds.</summary>
public enum DiskRepair
{
    /// <summary>Nothing.</summary>
    None,

    /// <summary>Gives clusters back that nobody uses, if nothing else is wrong.</summary>
    Leaks,

    /// <summary>Writes all reference counts and flags anew.</summary>
    All,
}
