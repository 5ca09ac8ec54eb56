namespace Lamina.Cli.Running;

/// <summary>Types a pipe or a file into the guest: a block when the guest has taken the one before. At the end it says so, as Ctrl-D does.</summary>
/// <param name="source">The input.</param>
/// <param name="port">Where it is typed.</param>
/// <param name="ended">Is set when the machine has ended.</param>
internal sealed class TypedInput(IInputSource source, IInputPort port, Latch ended)
{
    private const int BlockSize = 4096;
    private static readonly TimeSpan DrainInterval = TimeSpan.FromMilliseconds(2);
    private static readonly TimeSpan EndInterval = TimeSpan.FromSeconds(1);
    private readonly Latch _ready = new();

    /// <summary>The guest takes input from now on. Any thread.</summary>
    public void OnReady() => _ready.Set();

    /// <summary>
    /// Types into a shell of an image. The end is typed again and again: the first may end a program that reads its input, and the shell then reads on. A guest that
    /// is about to end does not mind.
    /// </summary>
    public void RunForShell()
    {
        _ready.Wait();
        LineBreaker lines = new();
        Copy(lines);
        if (!lines.AtLineStart)
        {
            port.Write("\n"u8);
        }

        do
        {
            WaitUntilDrained();
            port.Write([LineBreaker.EndOfFile]);
        }
        while (!ended.Wait(EndInterval));
    }

    /// <summary>Types into a guest of which nothing is known. If there was any input, its end is typed once.</summary>
    public void RunForKernel()
    {
        if (Copy(null))
        {
            WaitUntilDrained();
            port.Write([LineBreaker.EndOfFile]);
        }
    }

    private bool Copy(LineBreaker? lines)
    {
        byte[] buffer = new byte[BlockSize];
        List<byte> typed = new(BlockSize + 2);
        bool any = false;
        int count;
        while (!ended.IsSet && (count = source.Read(buffer)) > 0)
        {
            any = true;
            WaitUntilDrained();
            if (lines == null)
            {
                port.Write(buffer.AsSpan(0, count));
                continue;
            }

            typed.Clear();
            lines.Process(buffer.AsSpan(0, count), typed);
            port.Write([.. typed]);
        }

        return any;
    }

    private void WaitUntilDrained()
    {
        while (!port.IsDrained && !ended.Wait(DrainInterval))
        {
        }
    }
}
