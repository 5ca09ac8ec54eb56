namespace Lamina.Machine.Backends;

/// <summary>How far the host's end of a connection is there.</summary>
public enum SocketState
{
    /// <summary>It is.</summary>
    Open,

    /// <summary>It sends nothing more, but receives.</summary>
    Ended,

    /// <summary>It is gone.</summary>
    Gone,
}
