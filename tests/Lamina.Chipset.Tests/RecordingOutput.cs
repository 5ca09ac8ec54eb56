using Lamina.Machine.Backends;

namespace Lamina.Chipset.Tests;

/// <summary>Collects what a serial port sends.</summary>
internal sealed class RecordingOutput : ICharacterOutput
{
    public List<byte> Bytes { get; } = [];

    public void Write(ReadOnlySpan<byte> data) => Bytes.AddRange(data);
}
