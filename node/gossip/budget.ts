export { createBudget, type Budget, type BudgetLimits } from "../transport/budget.ts";
