namespace Lamina.Cli.Running;

/// <summary>Where a person's or a program's input comes from.</summary>
internal interface IInputSource
{
    /// <summary>Waits for input.</summary>
    /// <returns>The number of bytes, or 0 at the end.</returns>
    int Read(Span<byte> buffer);
}
