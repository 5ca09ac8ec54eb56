namespace Lamina.Vmm.Snapshots;

/// <summary>A snapshot cannot be taken or used. The message is for a person, and names the part.</summary>
public sealed class SnapshotException : Exception
{
    /// <summary>Makes one.</summary>
    public SnapshotException(string message)
        : base(message)
    {
    }

    /// <summary>Makes one.</summary>
    public SnapshotException(string message, Exception inner)
        : base(message, inner)
    {
    }
}
