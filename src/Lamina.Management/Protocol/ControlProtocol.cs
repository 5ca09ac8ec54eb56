namespace Lamina.Management.Protocol;

/// <summary>The numbers of the control protocol: JSON lines over a Unix socket of each machine. <c>docs/control-socket.md</c> describes it.</summary>
public static class ControlProtocol
{
    /// <summary>The version spoken here. Requests of a higher one are refused; new fields and verbs do not change it.</summary>
    public const int Version = 1;

    /// <summary>Longest line, in bytes, without its end.</summary>
    public const int MaximumLineLength = 64 << 10;

    /// <summary>Deepest nesting of a line's JSON.</summary>
    public const int MaximumDepth = 16;

    /// <summary>Connections that a machine serves at once. More are closed at once.</summary>
    public const int MaximumConnections = 64;
}
