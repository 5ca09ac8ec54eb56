namespace Lamina.Bench;

/// <summary>The program that <c>./publish</c> makes.</summary>
internal static class NativeProgram
{
    /// <summary>Where it is: named in <c>LAMINA</c>, or in the place where it is made. Null: nowhere.</summary>
    public static string? Find()
    {
        string program = Environment.GetEnvironmentVariable("LAMINA") ?? Path.GetFullPath("artifacts/native/lamina");
        return File.Exists(program) ? program : null;
    }
}
