using System.Diagnostics;
using System.Text;

namespace Lamina.Guests.Processes;

/// <summary>The lamina program, as a person or a script starts it.</summary>
internal static class LaminaProcess
{
    private static readonly TimeSpan Patience = TimeSpan.FromMinutes(6);

    /// <summary>A place without images, so that a test does not meet those that its user has built.</summary>
    public static string NoImages { get; } = Path.Combine(AppContext.BaseDirectory, "no-images");

    /// <summary>The program's file.</summary>
    public static string Program { get; } = Path.Combine(AppContext.BaseDirectory, "lamina.dll");

    /// <summary>Runs it to its end.</summary>
    /// <param name="input">Its standard input; null for an empty one.</param>
    /// <param name="arguments">Its arguments.</param>
    public static LaminaResult Run(byte[]? input, params string[] arguments) => Run(input, new Dictionary<string, string> { ["XDG_DATA_HOME"] = NoImages }, arguments);

    /// <summary>Runs it to its end.</summary>
    /// <param name="input">Its standard input; null for an empty one.</param>
    /// <param name="environment">What differs in its environment.</param>
    /// <param name="arguments">Its arguments.</param>
    public static LaminaResult Run(byte[]? input, Dictionary<string, string> environment, params string[] arguments)
    {
        ProcessStartInfo start = new("dotnet", ["exec", Program, .. arguments])
        {
            RedirectStandardInput = true,
            RedirectStandardOutput = true,
            RedirectStandardError = true,
        };
        foreach ((string name, string value) in environment)
        {
            start.Environment[name] = value;
        }

        using Process process = Process.Start(start)!;
        using MemoryStream output = new();
        Task copy = process.StandardOutput.BaseStream.CopyToAsync(output);
        Task<string> error = process.StandardError.ReadToEndAsync();
        Task.Run(() => Feed(process, input ?? []));
        if (!process.WaitForExit(Patience))
        {
            process.Kill(entireProcessTree: true);
            Assert.Fail($"lamina {string.Join(' ', arguments)} did not end. It wrote:\n{Encoding.UTF8.GetString(output.ToArray())}\n{error.Result}");
        }

        copy.Wait();
        return new LaminaResult(process.ExitCode, output.ToArray(), error.Result);
    }

    private static void Feed(Process process, byte[] input)
    {
        try
        {
            process.StandardInput.BaseStream.Write(input);
            process.StandardInput.Close();
        }
        catch (IOException)
        {
            // It ended before it read everything.
        }
    }
}
