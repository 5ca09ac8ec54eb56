using Lamina.Vmm;

namespace Lamina.Cli.Running;

/// <summary>A serial port of the machine as a place to type into.</summary>
internal sealed class SerialInputPort(SerialPort port) : IInputPort
{
    /// <inheritdoc/>
    public bool IsDrained => port.InputDrained;

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data) => port.Write(data);
}
