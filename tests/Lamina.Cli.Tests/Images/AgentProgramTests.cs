using System.Buffers.Binary;
using Lamina.Cli.Images.Agent;

namespace Lamina.Cli.Tests.Images;

public sealed class AgentProgramTests
{
    private const uint ReadAndExecute = 5;
    private const uint ReadAndWrite = 6;

    [Fact]
    public void The_agent_is_a_small_static_program_whose_code_cannot_be_written_and_whose_data_cannot_be_run()
    {
        byte[] file = AgentProgram.Create();
        Assert.InRange(file.Length, 512, 4096);
        Assert.Equal(2, BinaryPrimitives.ReadUInt16LittleEndian(file.AsSpan(56)));
        Assert.Equal([ReadAndExecute, ReadAndWrite], [ReadFlags(0), ReadFlags(1)]);

        uint ReadFlags(int segment) => BinaryPrimitives.ReadUInt32LittleEndian(file.AsSpan(64 + (56 * segment) + 4));
    }

    [Fact]
    public void The_agent_is_the_same_each_time() => Assert.Equal(AgentProgram.Create(), AgentProgram.Create());
}
