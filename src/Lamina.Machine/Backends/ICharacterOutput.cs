namespace Lamina.Machine.Backends;

/// <summary>Where a serial port sends its bytes.</summary>
public interface ICharacterOutput
{
    /// <summary>Takes bytes, all of them, without waiting for the host. On a vCPU thread, or the event loop. A sink that has failed drops them.</summary>
    void Write(ReadOnlySpan<byte> data);
}
