using Lamina.Machine.Backends;

namespace Lamina.Bench.Basket;

/// <summary>Hands a guest's console to this process's output, line by line as it comes.</summary>
internal sealed class ConsoleStream : ICharacterOutput, IDisposable
{
    private readonly Stream _output = Console.OpenStandardOutput();

    /// <inheritdoc/>
    public void Write(ReadOnlySpan<byte> data) => _output.Write(data);

    /// <inheritdoc/>
    public void Dispose() => _output.Dispose();
}
