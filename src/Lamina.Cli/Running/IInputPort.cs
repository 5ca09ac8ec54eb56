namespace Lamina.Cli.Running;

/// <summary>Where bytes are typed into the guest.</summary>
internal interface IInputPort
{
    /// <summary>Whether the guest has taken everything.</summary>
    bool IsDrained { get; }

    /// <summary>Queues bytes.</summary>
    void Write(ReadOnlySpan<byte> data);
}
